"""The methods of adaptation that are compared, each in a module of its own."""
