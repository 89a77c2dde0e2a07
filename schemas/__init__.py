"""Record schemas (.proto), ClickHouse migrations (.sql), Arrow schemas."""
