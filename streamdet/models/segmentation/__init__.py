"""What every place of a picture is, class by class: networks that label pixels."""
