package main

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// colours of the protocols: XMPP grey and blue, PSYC red.
var colours = [protocols]color.RGBA{
	{0x40, 0x40, 0x40, 0xff}, {0x1f, 0x77, 0xb4, 0xff}, {0x6b, 0xae, 0xd6, 0xff}, {0xf0, 0x8a, 0x4b, 0xff}, {0xc0, 0x1c, 0x28, 0xff},
}

// draw writes an SVG of what a user costs in a day, by the size of the federation.
func draw(w io.Writer, results []*result) error {
	p := plot.New()
	p.Title.Text = "Traffic between servers"
	p.X.Label.Text = "users of the federation"
	p.Y.Label.Text = "kB for each user and day"
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = powersOfTen(results)
	p.Y.Min = 0
	p.Legend.Top = true
	p.Legend.XOffs = -vg.Centimeter / 4
	p.Legend.Padding = vg.Points(2)
	p.Add(plotter.NewGrid())
	for k := range protocols {
		var points plotter.XYs
		for _, r := range results {
			points = append(points, plotter.XY{X: float64(r.Users), Y: r.perUser(r.total[k]).bytes / 1000})
		}
		line, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("drawing %s: %w", protocol(k), err)
		}
		line.Color, marks.Color = colours[k], colours[k]
		line.Width = vg.Points(1.5)
		p.Add(line, marks)
		p.Legend.Add(protocol(k).String(), line, marks)
		for _, at := range points {
			p.Y.Max = max(p.Y.Max, at.Y*1.45) // the legend stands above
		}
	}
	image, err := p.WriterTo(16*vg.Centimeter, 10*vg.Centimeter, "svg")
	if err != nil {
		return err
	}
	_, err = image.WriteTo(w)
	return err
}

// powersOfTen marks the sizes.
func powersOfTen(results []*result) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, r := range results {
		ticks = append(ticks, plot.Tick{Value: float64(r.Users), Label: short(r.Users)})
	}
	return ticks
}

// short writes a number with a letter for thousands and millions.
func short(n int) string {
	switch {
	case n >= 1_000_000 && n%100_000 == 0:
		return fmt.Sprintf("%gM", float64(n)/1e6)
	case n >= 1000 && n%100 == 0:
		return fmt.Sprintf("%gk", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}
