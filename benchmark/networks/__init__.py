"""The networks that suites choose from, and their pretrained weights."""
