"""The run store on SQL databases. What is the same on all of them is written once."""
