"""What a stage would cost a month, from its programs and a dated table of prices that the user may replace."""
