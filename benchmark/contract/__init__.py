"""What models and data sets must provide: protocols, interfaces, precision."""
