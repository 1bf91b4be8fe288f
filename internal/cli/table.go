package cli

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// A mood colours a cell. It adds nothing that the words do not say.
type mood int

const (
	plain mood = iota
	faint
	good
	care
	bad
)

// A cell is a word or two in a table.
type cell struct {
	text string
	mood mood
}

func (s stream) mooded(m mood, text string) string {
	switch m {
	case faint:
		return s.styled(faintStyle, text)
	case good:
		return s.styled(goodStyle, text)
	case care:
		return s.styled(careStyle, text)
	case bad:
		return s.styled(badStyle, text)
	}
	return text
}

// A table has a heading and rows of as many cells. Where the stream is too narrow, cells are cut in
// their middle: names that belong together often differ at their ends alone.
type table struct {
	head []string
	rows [][]cell
}

const (
	gap       = 2  // between columns
	narrowest = 10 // what a column is cut to at most
)

func (t table) print(s stream) {
	widths := t.widths(s.width)
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{text: h, mood: faint}
	}
	for _, row := range append([][]cell{head}, t.rows...) {
		var line strings.Builder
		for i, c := range row {
			text := shorten(c.text, widths[i])
			line.WriteString(s.mooded(c.mood, text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-lipgloss.Width(text)+gap))
			}
		}
		s.println(strings.TrimRight(line.String(), " "))
	}
}

// widths gives each column what it needs, and takes from the widest where there is not enough.
func (t table) widths(bound int) []int {
	widths := make([]int, len(t.head))
	total := gap * (len(widths) - 1)
	for i, h := range t.head {
		widths[i] = lipgloss.Width(h)
		for _, row := range t.rows {
			widths[i] = max(widths[i], lipgloss.Width(row[i].text))
		}
		total += widths[i]
	}
	for ; bound > 0 && total > bound; total-- {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= narrowest {
			break
		}
		widths[widest]--
	}
	return widths
}

// shorten cuts the middle out of text that is wider than width.
func shorten(text string, width int) string {
	letters := []rune(text)
	if len(letters) <= width || width < 3 {
		return text
	}
	head := width / 2
	return string(letters[:head]) + "…" + string(letters[len(letters)-(width-head-1):])
}
