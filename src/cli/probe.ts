/**
 * `probe`: the command. What it does is loaded when it is asked for.
 *
 * @internal
 */
import { Argument, Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as DialogueFlags from "./dialogueFlags.ts"
import * as Flags from "./flags.ts"
import * as TlsFlags from "./tls.ts"

export const probe = Command.make(
  "probe",
  {
    // It may have a password in it.
    url: Argument.Redacted("url").pipe(
      Argument.withMetavar("url"),
      Argument.withDescription(
        "line://HOST:PORT, tls://HOST[:443], h2://HOST[:443], h2c://HOST[:80], tcp://HOST:PORT with --dialogue, " +
          "postgres://USER[:PASSWORD]@HOST[:5432][/DATABASE][?sslmode=…]; " +
          "proxy+ before any of them says a PROXY header first"
      )
    ),
    dialogue: DialogueFlags.dialogue,
    ...DialogueFlags.given,
    ask: DialogueFlags.ask,
    ...TlsFlags.clientFlags,
    passwordFile: Flag.Path("password-file", { typeName: "file" }).pipe(
      Flag.withDescription("The password is in this file; else it is that of the URL, or PGPASSWORD"),
      Flag.optional
    ),
    timeout: Flags.duration("timeout", "10s", "From dialling to ready"),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false)),
    record: Flag.Path("record", { typeName: "file" }).pipe(
      Flag.withDescription("Write what was said to this file, as text that can be replayed"),
      Flag.optional
    ),
    svg: Flag.Path("svg", { typeName: "file" }).pipe(
      Flag.withDescription("Draw what was said to this file, as a sequence diagram in SVG"),
      Flag.optional
    )
  },
  ({ url, ...flags }) => Effect.flatMap(Effect.promise(() => import("./probing.ts")), ({ probe }) => probe(url, flags))
).pipe(
  Command.withShortDescription("Shake hands with a server, and tell how it went"),
  Command.withDescription(
    "Shake hands with a server. Exit code: 0 ready, 2 rejected, 3 invalid or broken peer, 4 timeout, " +
      "5 no connection, 64 wrong usage, 66 a file cannot be used, 73 the file of --record or --svg cannot be written"
  ),
  Command.withExamples([
    { command: "effect-handshake probe line://127.0.0.1:12345 --json", description: "Ask a line server" },
    {
      command: "effect-handshake probe postgres://ann@db.example.com/shop?sslmode=verify-full",
      description: "Log in, with PGPASSWORD"
    },
    { command: "effect-handshake probe tls://example.com --alpn h2,http/1.1", description: "Who is there, and what" },
    { command: "effect-handshake probe line://127.0.0.1:12345 --record session.txt", description: "Keep the session" },
    {
      command: "effect-handshake probe tcp://127.0.0.1:4000 --dialogue src/Vault.ts --set Login.user=ann",
      description: "Play the client of a dialogue"
    }
  ])
)
