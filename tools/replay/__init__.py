"""Ask strategies what they would have chosen, from what a run saved."""
