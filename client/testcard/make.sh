#!/bin/sh
# Makes testcard.webm and levels.bin anew. Needs ffmpeg with libvpx, libopus
# and drawtext, and the DejaVu Sans Mono font. See README.md.
set -eu
cd "$(dirname "$0")"
font=${FONT:-/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf}
seconds=8
# Flash and beep begin 0.4 s into every second, far from the loop's seam.
flash="lt(mod(n-10+1000\,25)\,3)"
picture="color=c=0x1b2a41:s=640x360:r=25:d=$seconds,format=yuv420p,
 drawbox=x=0:y=300:w=iw:h=60:c=0x324a5f:t=fill,
 drawbox=x=0:y=0:w=80:h=40:c=0xc0392b:t=fill,drawbox=x=80:y=0:w=80:h=40:c=0x27ae60:t=fill,
 drawbox=x=160:y=0:w=80:h=40:c=0x2980b9:t=fill,drawbox=x=240:y=0:w=80:h=40:c=0xf1c40f:t=fill,
 drawbox=x=320:y=0:w=80:h=40:c=0x8e44ad:t=fill,drawbox=x=400:y=0:w=80:h=40:c=0x16a085:t=fill,
 drawbox=x=480:y=0:w=80:h=40:c=0xd35400:t=fill,drawbox=x=560:y=0:w=80:h=40:c=0xbdc3c7:t=fill,
 drawtext=fontfile=$font:text='%{pts\:flt}':x=60:y=80:fontsize=72:fontcolor=white,
 drawtext=fontfile=$font:text='frame %{eif\:n\:d\:3}':x=60:y=180:fontsize=72:fontcolor=0xcad2c5,
 null"
slider="color=c=0xe0a458:s=64x36:r=25:d=$seconds,format=yuv420p"
white="drawbox=x=0:y=0:w=iw:h=ih:c=white:t=fill:enable='$flash'"
# A 1 kHz beep of 100 ms over very quiet noise, so that every packet is worth sending.
# ffmpeg's muxer stamps pictures later by the encoder's delay of 6.5 ms and sound
# not, so the sound is made that much later.
sound="aevalsrc=exprs='0.5*sin(2*PI*1000*t)*between(mod(t-0.0065\,1)\,0.4\,0.4999)+0.002*(random(0)-0.5)':s=48000:d=$seconds"
vp8="-c:v libvpx -deadline best -cpu-used 0 -auto-alt-ref 0 -lag-in-frames 0 -error-resilient 1 -g 25 -keyint_min 25 -qmin 4 -qmax 50 -threads 1"
ffmpeg -v error -y -f lavfi -i "$picture" -f lavfi -i "$slider" -f lavfi -i "$sound" \
 -filter_complex "[0:v][1:v]overlay=x='mod(n*16,640)':y=312,$white,split[a][b];[b]scale=320:180:flags=area[low]" \
 -map "[a]" -map "[low]" -map 2:a $vp8 -b:v:0 260k -maxrate:v:0 500k -bufsize:v:0 500k -b:v:1 90k -maxrate:v:1 180k -bufsize:v:1 180k \
 -force_key_frames "expr:eq(mod(n,25),0)+eq(mod(n,25),13)" \
 -c:a libopus -application voip -b:a 24k -vbr off -fec on -packet_loss 10 -frame_duration 20 -ac 1 \
 -metadata:s:v:0 title=h -metadata:s:v:1 title=q -fflags +bitexact -flags +bitexact \
 -cluster_time_limit 1000 testcard.webm
# One byte per 20 ms of sound: its level in dB below full scale (RFC 6464).
ffmpeg -v error -f lavfi -i "$sound" -af "asetnsamples=960,astats=metadata=1:reset=1,ametadata=print:key=lavfi.astats.Overall.RMS_level:file=-" -f null - |
 awk -F= '/RMS_level/ { l = $2 == "-inf" ? 127 : int(-$2 + 0.5); printf "%03o\n", (l > 127 ? 127 : l) }' |
 while read -r o; do printf "\\$o"; done > levels.bin
