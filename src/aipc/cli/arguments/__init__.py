"""How a command line is read: commands, options and the model, the same way for every command."""
