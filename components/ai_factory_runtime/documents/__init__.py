"""What people read: model card, data sheet, report, plots."""
