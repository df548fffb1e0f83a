"""The colours and type of Gradio's own components; the rest is in `assets/style.css`."""

from __future__ import annotations

import gradio as gr

VERMILION = gr.themes.Color(
    "#fdf3ef", "#fbe3da", "#f6c5b4", "#ef9e84", "#e5714e", "#d4542c", "#c2401c", "#9f3417",
    "#7f2c16", "#682717", "#391108", name="vermilion",
)  # fmt: skip
PAPER = gr.themes.Color(
    "#fbf8f3", "#f4efe6", "#e8e0d3", "#d5cabb", "#a99d8d", "#7d7266", "#5c534a", "#443d36",
    "#2b2622", "#1e1a17", "#171412", name="paper",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """Return warm paper and ink with one accent; contrast of 4.5 to 1 in light and dark."""
    return gr.themes.Base(
        primary_hue=VERMILION,
        secondary_hue=VERMILION,
        neutral_hue=PAPER,
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_sm,
        text_size=gr.themes.sizes.text_md,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_900",
        block_label_text_color_dark="*neutral_100",
        block_title_text_color="*neutral_900",
        block_title_text_color_dark="*neutral_100",
        block_title_text_weight="600",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
    )
