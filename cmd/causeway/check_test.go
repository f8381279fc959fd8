package main

import (
	"testing"

	"causeway/protocol"
)

func TestLanguageOf(t *testing.T) {
	for _, c := range []struct {
		flag, all, lang string
		want            protocol.Language
	}{
		{"", "", "", protocol.English},
		{"", "", "zh_TW.UTF-8", protocol.TraditionalChinese},
		{"", "", "zh_HK", protocol.TraditionalChinese},
		{"", "C", "zh_TW.UTF-8", protocol.English},
		{"", "", "zh_CN.UTF-8", protocol.English},
		{"zh-TW", "", "de_DE", protocol.TraditionalChinese},
		{"en", "", "zh_TW", protocol.English},
	} {
		got := languageOf(c.flag, func(name string) string {
			return map[string]string{"LC_ALL": c.all, "LANG": c.lang}[name]
		})
		if got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
