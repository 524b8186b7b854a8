"""The rows: where they come from, the contract they keep, what is cleansed, hidden and kept aside."""
