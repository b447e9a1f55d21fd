"""What training leaves behind: the folder of a run, all runs below a folder, and the store of their results."""
