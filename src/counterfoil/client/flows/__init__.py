"""What is decided: a pull from the first call to the receipt, as generators that do nothing themselves."""
