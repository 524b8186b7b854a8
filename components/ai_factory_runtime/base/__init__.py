"""What every part stands on: the project, its folders and files, errors, values that several parts share."""
