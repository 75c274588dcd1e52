"""The stream: events as Kafka records, out of the log and into projections."""
