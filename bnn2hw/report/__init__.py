"""Tables, figures and pages from manifests and results."""
