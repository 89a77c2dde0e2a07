CANDLE_COLUMNS: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
