"""Result files: their schema, comparison, intervals, tables and formats."""
