"""The API server: holds the journal, serves Runloop's axon API, decides sleep, pokes sleepers."""
