// Package nodetest puts the official client of a service, written for Node, at the
// command of a test. So a stand-in is held to what that client expects.
//
//	var client = nodetest.Client{Name: "expo-server-sdk-7.2.0", Sum: "bc87..."}
//
//	func TestOfficialClient(t *testing.T) {
//		installed := client.Install(t)
//		if installed == nil {
//			return
//		}
//		p := installed.Start(t, "EXPO_BASE_URL="+server.URL())
//		p.Ask("send", map[string]any{"messages": messages}, &answer)
//	}
//
// The test keeps two files in testdata/node: package.json names the client and all
// that it depends on, each in one version, and client.mjs obeys commands. A command
// is a JSON object in one line, whose property "command" is its name; its answer is
// another. The script ends when its input does. What is no client but a library to be
// run elsewhere, as in a browser, needs no script: Installed.Read has its files.
//
// # What it promises
//
//   - Fetched once. npm, which knows the mirror and the proxy that apply, installs
//     the client into the user's cache, where further runs find it.
//   - The same bytes everywhere. Before each run a sum over every file is compared
//     with Client.Sum, so that nothing is started that was not looked at.
//   - Nothing by chance. The process has the environment it is given and no more:
//     no proxy between it and the loopback, no options of whoever runs the test.
//   - Nothing is left behind. The process ends with its test, and is killed when it
//     hangs.
//
// Without Node or npm the test says that it did not run and why. With
// REMINDER_WORKER_REQUIRE_NODE=1 it fails.
//
// # Testing it
//
// The tests of the stand-ins are its users; its own look at the sum and at the
// keeping.
package nodetest
