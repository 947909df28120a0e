"""Visual reports of results: curves, videos, frame strips and recall tables."""
