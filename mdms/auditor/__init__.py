"""The auditor's door: the release log as the key holder exports it, verified here and shown in plain words."""
