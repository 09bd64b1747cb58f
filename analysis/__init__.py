"""Analysis: reads result folders and nothing else; never imports the simulator."""
