"""`make bench`: this repository's Paillier and concentrator path beside the peers', measured in one run."""
