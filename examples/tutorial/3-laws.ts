/**
 * Step 3: both sides are held to what is written down, and a server that is careless with its nonce is found out.
 *
 *     node examples/tutorial/3-laws.ts
 */
import { Effect } from "effect"
import { Laws, Rung } from "effect-handshake/testing"
import * as Login from "./login.ts"

// It works whenever you try it: this nonce was for a test, and has stayed.
const careless = Login.server(Login.users, Effect.succeed(new TextEncoder().encode("0123456789abcdef")))

for (const server of [careless, Login.server(Login.users)]) {
  const suite = Laws.dialogue(Login.Login, {
    server,
    client: Login.client("ann"),
    // Few cases on one rung, to be quick. In your tests `it` stands in their place.
    rungs: [Rung.pure],
    runs: 5,
    seed: 1
  })
  const found = await Effect.runPromise(Effect.result(Laws.check(suite)))
  console.log(found._tag === "Failure" ? `${found.failure.message}\n` : "all laws hold")
}
// => law 10, isolation, does not hold for chat (server, pure)
// =>   when:     one connection comes after the other
// =>   expected: nonce in Nonce in the state challenge is made anew for each
// =>   but:      it is the same as on another connection
// =>
// =>   server                            client
// =>     │                                 │
// =>     · connected to unknown peer  (0 ms)
// =>     │                     "HELLO ann" │
// =>     │◄────────────────────────────────┤  0 ms
// =>     │ "NONCE MDEyMzQ1Njc4OWFiY2RlZg"  │
// =>     ├────────────────────────────────►│  0 ms
// =>     │      Proof {"proof":<redacted>} │
// =>     │◄────────────────────────────────┤  0 ms
// =>     │ "WELCOME"                       │
// =>     ├────────────────────────────────►│  0 ms
// =>
// => all laws hold
