//! Draws the model. All text from the API has passed `output::safe`; colours follow `NO_COLOR`, and nothing is told by
//! colour alone.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState};
use serde_json::Value;
use unicode_width::UnicodeWidthChar as _;

use super::model::{Model, Said, Shown, Verdict, View, asker, awaits};
use crate::cli::card::{self, suffices};
use crate::cli::output::safe;
use crate::cli::review::text;

/// The width of a card's names.
const NAME_WIDTH: usize = 15;
/// Below this width a list leaves out what the card tells anyway.
const WIDE: u16 = 100;
/// Seconds left from which on a review is said to be urgent.
const URGENT_SECONDS: u64 = 5 * 60;

const HELP: &str = "In the list
  ↑ ↓  j k        choose              Enter  →   open the card
  m  Tab          only what awaits you, or all
  q  Esc          leave

On a card
  ↑ ↓  Space      scroll
  a               approve, once its end has been on the screen
  r               reject
  ←  Esc          back to the list

A vote is cast by Enter under its reason; Esc takes it back before. Press any key.";

/// Draws it. Returns how many lines the card has and how many of them fit, if one is shown.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) -> Option<(usize, usize)> {
    let [head, body, said, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(model)), head);
    let measured = match (model.view, &model.shown) {
        (View::Help, _) => {
            frame.render_widget(Paragraph::new(HELP).block(Block::new().borders(Borders::TOP)), body);
            None
        }
        (View::Card, Some(shown)) => Some(draw_card(frame, body, shown)),
        _ => {
            draw_list(frame, body, model);
            None
        }
    };
    frame.render_widget(Paragraph::new(saying(model)), said);
    frame.render_widget(Paragraph::new(Line::styled(keys(model), dim())), foot);
    measured
}

fn heading(model: &Model) -> Line<'static> {
    let (open, mine) = model.counts();
    let scope = if model.mine { ", only yours shown" } else { "" };
    let mut spans = vec![
        Span::styled("Reviews", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {open} open, {mine} await{} you{scope}", if mine == 1 { "s" } else { "" })),
    ];
    if let Some(why) = &model.away {
        spans.push(Span::styled(format!("  ! {}", safe(why)), painted(Color::Red)));
    }
    Line::from(spans)
}

fn saying(model: &Model) -> Line<'static> {
    let writing = model.shown.as_ref().and_then(|shown| shown.vote.as_ref().map(|vote| (shown, vote)));
    match (&model.said, writing) {
        (Some(Said { good, words }), _) => {
            let (mark, colour) = if *good { ("✓", Color::Green) } else { ("!", Color::Red) };
            Line::styled(format!("{mark} {}", safe(words)), painted(colour))
        }
        (None, Some((shown, (verdict, reason)))) => asking(shown, *verdict, reason),
        (None, None) if model.busy => Line::styled("voting …", dim()),
        (None, None) => Line::default(),
    }
}

/// The line in which a vote's reason is written.
fn asking(shown: &Shown, verdict: Verdict, reason: &str) -> Line<'static> {
    let (what, colour, needed) = match verdict {
        Verdict::Approve => ("Approve", Color::Green, shown.review["reason_required"] == true),
        Verdict::Reject => ("Reject", Color::Red, true),
    };
    let why = if needed { "why" } else { "why (may be empty)" };
    let strong = painted(colour).add_modifier(Modifier::BOLD);
    Line::from(vec![Span::styled(format!("{what}: "), strong), Span::raw(format!("{why}? {}▏", safe(reason)))])
}

fn keys(model: &Model) -> &'static str {
    match (model.view, model.shown.as_ref().is_some_and(|shown| shown.vote.is_some())) {
        (View::List, _) => "↑↓ choose  Enter open  m mine/all  ? help  q leave",
        (View::Card, false) => "↑↓ Space scroll  a approve  r reject  Esc back",
        (View::Card, true) => "Enter vote  Esc back",
        (View::Help, _) => "any key goes back",
    }
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    if model.rows().next().is_none() {
        let nothing = if model.mine { "Nothing awaits you." } else { "Nothing waits for a review." };
        frame.render_widget(Paragraph::new(nothing).block(Block::new().borders(Borders::TOP)), area);
        return;
    }
    let (wide, gone_by) = (area.width >= WIDE, model.read_at.elapsed().as_secs());
    let rows = model.rows().map(|review| row(review, wide, gone_by));
    let (head, widths) = if wide {
        let widths =
            [3, 26, 22, 10, 20, 8].map(Constraint::Length).into_iter().chain([Constraint::Min(20)]).collect::<Vec<_>>();
        (vec!["", "ASKS", "TARGET", "ACTION", "NEEDS", "LEFT", "STATEMENT"], widths)
    } else {
        let widths = vec![Constraint::Length(3), Constraint::Length(18), Constraint::Length(7), Constraint::Min(10)];
        (vec!["", "ASKS", "LEFT", "STATEMENT"], widths)
    };
    let table = Table::new(rows, widths)
        .header(Row::new(head).style(dim()))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::new().borders(Borders::TOP));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(model.chosen()));
}

fn row(review: &Value, wide: bool, gone_by: u64) -> Row<'static> {
    let seconds = review["seconds_left"].as_u64().unwrap_or_default().saturating_sub(gone_by);
    let left = Cell::from(time_left(seconds)).style(if seconds < URGENT_SECONDS {
        painted(Color::Yellow).add_modifier(Modifier::BOLD)
    } else {
        Style::new()
    });
    let mark = Cell::from(if awaits(review) { " ● " } else { " · " }).style(painted(Color::Yellow));
    let statement = Cell::from(text(review, "statement").replace(['\n', '\t'], " "));
    let asks = Cell::from(asker(review));
    if !wide {
        return Row::new([mark, asks, left, statement]);
    }
    let target = format!("{} ({})", text(review, "target"), text(review, "environment"));
    Row::new([
        mark,
        asks,
        Cell::from(target),
        Cell::from(text(review, "action")),
        Cell::from(suffices(review)),
        left,
        statement,
    ])
}

/// `3m 20s`, `2h 5m`.
fn time_left(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

fn draw_card(frame: &mut Frame<'_>, area: Rect, shown: &Shown) -> (usize, usize) {
    let lines = card_lines(&shown.review, area.width);
    let (count, height) = (lines.len(), usize::from(area.height.saturating_sub(1)));
    let below = count.saturating_sub(shown.scroll + height);
    let title = if below > 0 { format!(" {below} lines below ") } else { " the end is in sight ".to_owned() };
    let block = Block::new().borders(Borders::TOP).title(title);
    let visible: Vec<Line<'_>> = lines.into_iter().skip(shown.scroll).take(height).collect();
    frame.render_widget(Paragraph::new(visible).block(block), area);
    (count, height)
}

/// The card, wrapped to a width; nothing of it is cut.
pub(super) fn card_lines(review: &Value, width: u16) -> Vec<Line<'static>> {
    let room = usize::from(width).saturating_sub(NAME_WIDTH).max(10);
    let mut fields: Vec<(&str, String)> =
        card::fields(review).into_iter().map(|field| (field.name, field.value)).collect();
    let why = text(&review["you"], "why");
    if !why.is_empty() && review["state"] == "open" {
        fields.push(("you", why));
    }
    let mut lines = Vec::new();
    for (name, value) in fields {
        for (number, piece) in value.split('\n').flat_map(|line| wrapped(line, room)).enumerate() {
            let name = if number == 0 { name } else { "" };
            let strong = Style::new().add_modifier(Modifier::BOLD);
            lines.push(Line::from(vec![Span::styled(format!("{name:<NAME_WIDTH$}"), strong), Span::raw(piece)]));
        }
    }
    lines
}

/// A line in pieces of at most so many columns; at least one.
fn wrapped(line: &str, room: usize) -> Vec<String> {
    let (mut pieces, mut piece, mut used) = (Vec::new(), String::new(), 0);
    for c in line.replace('\t', "    ").chars() {
        let width = c.width().unwrap_or(0);
        if used + width > room {
            pieces.push(std::mem::take(&mut piece));
            used = 0;
        }
        piece.push(c);
        used += width;
    }
    pieces.push(piece);
    pieces
}

fn painted(colour: Color) -> Style {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted { Style::new().fg(colour) } else { Style::new() }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}
