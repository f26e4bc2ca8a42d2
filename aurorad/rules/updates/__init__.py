"""Rolling updates of service jobs, decided: values in, values out (updates sheet)."""
