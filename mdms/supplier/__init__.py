"""The supplier's door: neighbourhoods' loads and customers' bills. Nothing here asks for a row or an envelope."""
