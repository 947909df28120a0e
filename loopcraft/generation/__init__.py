"""From a recipe to finished episodes, spread over workers."""
