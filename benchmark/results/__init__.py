"""Result files: schema, comparison, confidence intervals, tables and output formats."""
