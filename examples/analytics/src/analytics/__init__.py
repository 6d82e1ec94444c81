"""An example subscriber: reads the event stream from any point in time and keeps it as Parquet files, to be asked by SQL."""
