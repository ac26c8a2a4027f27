"""Files of the local store, damaged at random places: what a program then sees of them."""
