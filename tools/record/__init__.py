"""The run folder as data from anybody: what is in it is read, and never run."""
