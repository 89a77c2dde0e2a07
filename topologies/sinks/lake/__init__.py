"""The cold store: Parquet files by table, chain and hour, and a manifest that says which count."""
