"""The language the services share: messages, ids, states, failure codes and the bus topology. No I/O in here."""
