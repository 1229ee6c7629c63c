"""The customer's door: login by key, and sealed rows as they are stored. What opens them is the customer's browser."""
