//go:build linux

package lab

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// The scene is what every person's camera and microphone take in: as many
// pictures a second as the peers were measured with, for a few seconds, over
// and over.
const (
	sceneWidth, sceneHeight = 960, 540
	sceneFPS                = 25
	sceneSeconds            = 4
	sceneRate               = 48_000 // samples of sound a second
)

// scene writes the files and returns their names.
func scene(t *testing.T) (camera, sound string) {
	t.Helper()
	dir := t.TempDir()
	camera, sound = filepath.Join(dir, "camera.y4m"), filepath.Join(dir, "sound.wav")
	if err := writeCamera(camera); err != nil {
		t.Fatalf("camera: %v", err)
	}
	if err := writeSound(sound); err != nil {
		t.Fatalf("sound: %v", err)
	}
	return camera, sound
}

// writeCamera makes pictures as hard to encode as a real camera's: the view
// sways over an uneven surface, and there is some noise. The end leads over to
// the beginning.
func writeCamera(name string) error {
	const sway = 64
	const width, height = sceneWidth + 2*sway, sceneHeight + 2*sway
	random := rand.New(rand.NewPCG(3, 4))
	surface := make([]byte, width*height)
	var coarse [width/8 + 2][height/8 + 2]float64
	for x := range coarse {
		for y := range coarse[x] {
			coarse[x][y] = 60 + 130*random.Float64()
		}
	}
	for i := range surface {
		x, y := float64(i%width)/8, float64(i/width)/8
		left, top := int(x), int(y)
		right, down := x-float64(left), y-float64(top)
		surface[i] = byte(coarse[left][top]*(1-right)*(1-down) + coarse[left+1][top]*right*(1-down) +
			coarse[left][top+1]*(1-right)*down + coarse[left+1][top+1]*right*down)
	}
	noise := make([]byte, 1<<16)
	for i := range noise {
		noise[i] = byte(random.IntN(9))
	}

	f, err := os.Create(name)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintf(out, "YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n", sceneWidth, sceneHeight, sceneFPS)
	line := make([]byte, sceneWidth)
	grey := make([]byte, sceneWidth*sceneHeight/2)
	for i := range grey {
		grey[i] = 128
	}
	for n := range sceneSeconds * sceneFPS {
		phase := 2 * math.Pi * float64(n) / (sceneSeconds * sceneFPS)
		left, top := sway+int(sway*math.Sin(phase)), sway+int(sway/2*math.Sin(2*phase))
		fmt.Fprintln(out, "FRAME")
		for y := range sceneHeight {
			from := (top+y)*width + left
			grain := noise[random.IntN(len(noise)-sceneWidth):]
			for x := range line {
				line[x] = surface[from+x] + grain[x]
			}
			_, _ = out.Write(line)
		}
		_, _ = out.Write(grey)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// writeSound makes something like a voice that never pauses, so that every
// piece of it that is missing counts.
func writeSound(name string) error {
	const n = sceneSeconds * sceneRate
	samples := make([]int16, n)
	var phase float64
	for i := range samples {
		at := float64(i) / sceneRate
		phase += 2 * math.Pi * (130 + 20*math.Sin(2*math.Pi*at/2)) / sceneRate
		var sum float64
		for k := 1.0; k <= 12; k++ {
			sum += math.Sin(k*phase) / k
		}
		syllable := 0.55 + 0.45*math.Sin(2*math.Pi*4*at)
		samples[i] = int16(6000 * sum * syllable)
	}
	head := []byte("RIFF....WAVEfmt ")
	binary.LittleEndian.PutUint32(head[4:], 36+2*n)
	le := binary.LittleEndian
	head = le.AppendUint32(head, 16)
	head = le.AppendUint16(head, 1) // PCM
	head = le.AppendUint16(head, 1) // mono
	head = le.AppendUint32(head, sceneRate)
	head = le.AppendUint32(head, sceneRate*2)
	head = le.AppendUint16(head, 2)
	head = le.AppendUint16(head, 16)
	head = append(head, "data"...)
	head = le.AppendUint32(head, 2*n)
	for _, s := range samples {
		head = le.AppendUint16(head, uint16(s))
	}
	return os.WriteFile(name, head, 0o600)
}
