"""A language model that plays a script instead of thinking, so that agent runs are repeatable.

The script stands in the prompt: each ``[[verb argument]]`` in the newest user prompt is one reply,
and the n-th reply after that prompt plays the n-th directive. What the model says is thus a pure
function of the request; nothing is set up per test and one server serves any number of agents.

conversation   what is asked and what is answered, free of any wire format
script         finds the directives in a prompt
tools          turns a directive into a call of whatever tool the agent offers
decide         request -> reply; the model itself
wire           what the three formats share: frames, stamps, the shape of a format module
chat           OpenAI Chat Completions
responses      OpenAI Responses
messages       Anthropic Messages
answers        what is answered besides replies: errors, the list of models, the log

All of it is pure. Sockets, clocks, random ids and logs live in ``scripted_model.py`` beside it.
"""
