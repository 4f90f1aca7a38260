"""What is wrong with a data set, found before a network learns it."""
