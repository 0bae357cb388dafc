"""The capacity model: what a given load takes, from what ``make bench`` measured."""
