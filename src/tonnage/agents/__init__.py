"""What agents are served with: tools, their inputs as JSON Schema, workers that answer, the protocol (MCP) over stdio.

Nothing is written but files of the question itself, in a folder of their own that goes with it; what is asked is
answered by processes that can be ended.
"""
