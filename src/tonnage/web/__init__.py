"""The local page: what the command line says, seen and moved. Nothing of it is loaded unless it is asked for."""
