"""Reports of a run: terminal tables, charts, HTML pages, the model card."""
