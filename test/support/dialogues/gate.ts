import { Codec, Dialogue, Wire } from "effect-handshake"
import * as Schema from "effect/Schema"

/** Who is at the gate says so, and shows a key. */
export class Gate extends Dialogue.make<Gate>()({
  name: "gate",
  messages: {
    Hello: { user: Dialogue.free(Schema.String) },
    Menu: { items: Dialogue.free(Schema.Int) },
    Key: { key: Schema.Redacted(Schema.String) },
    Open: {},
    Shut: { why: Dialogue.free(Schema.String) },
    Wrong: {}
  },
  wire: Wire.text(Codec.lines(), {
    Hello: "HELLO {user}",
    Menu: "MENU {items}",
    Key: "KEY {key}",
    Open: "OPEN",
    Shut: "SHUT {why}",
    Wrong: "WRONG"
  }),
  live: Codec.lines(),
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Hello: "menu" }),
    menu: Dialogue.server({ Menu: "key" }),
    key: Dialogue.client({ Key: "verdict" }),
    verdict: Dialogue.server({ Open: Dialogue.ready, Shut: Dialogue.refused() })
  },
  otherwise: { server: "Wrong" }
}) {}
