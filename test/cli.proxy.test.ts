/**
 * The command behind a proxy, and as if it were one.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Cli from "./support/cli.ts"
import * as Tcp from "./support/tcp.ts"

const required = ["--proxy", "required", "--proxy-trust"]

describe("serve --proxy required", () => {
  it.live("serves who says a header first, as proxy+line:// does, and refuses everybody else, and who is there already", () =>
    Effect.gen(function*() {
      const { port } = yield* Cli.serveHere(
        "line",
        "--port",
        "0",
        ...required,
        "192.0.2.0/24",
        "--proxy-trust",
        "127.0.0.0/8",
        "--admit-per-address",
        "1",
        "--admit-rate",
        "50/10s",
        "--admit-pass",
        "127.0.0.1/32"
      )
      const proxied = yield* Cli.here("probe", `proxy+line://127.0.0.1:${port}`)
      expect(proxied).toMatchObject({ code: 0, stdout: expect.stringContaining(`ready: line at 127.0.0.1:${port}`) })
      expect(proxied.stdout).toMatch(/PROXY v2 from 127\.0\.0\.1:\d+ to 127\.0\.0\.1:\d+/)
      const direct = yield* Cli.here("probe", `line://127.0.0.1:${port}`)
      expect(direct).toMatchObject({ code: 2, stdout: expect.stringContaining("No! Go away!") })
      const said = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\nYou ready?\nHello\n"
      const peer = yield* Tcp.saying(port, said)
      yield* peer.hears("Bring it!\nHello\n")
      const another = yield* Tcp.saying(port, said)
      yield* another.hears("No! Go away!\n")
      yield* another.end
      yield* peer.end
      expect(yield* peer.ended).toBe("Bring it!\nHello\n")
    }))

  it.live("takes no header from elsewhere", () =>
    Effect.gen(function*() {
      const { port } = yield* Cli.serveHere("any", "--port", "0", ...required, "192.0.2.0/24")
      const { code } = yield* Cli.here("probe", `proxy+line://127.0.0.1:${port}`)
      expect(code).toBe(2)
    }))

  it.live.each([["--admit-rate", "0/s"], ["--admit-rate", "10"], ["--admit-per-address", "0"], ["--admit-pass", "a"]])(
    "takes no %s %s",
    ([flag, value]) => Effect.map(Cli.here("serve", "line", flag, value), ({ code }) => expect(code).toBe(64))
  )

  it.live("wants to know whom to believe", () =>
    Effect.gen(function*() {
      const told = (...flags: ReadonlyArray<string>) => Cli.here("serve", "line", "--port", "0", ...flags)
      expect(yield* told("--proxy", "required")).toMatchObject({
        code: 64,
        stderr: "--proxy required needs --proxy-trust CIDR: whose headers are believed\n"
      })
      expect(yield* told("--proxy-trust", "10.0.0.0/8")).toMatchObject({
        code: 64,
        stderr: "--proxy-trust is of no use without --proxy required\n"
      })
      const { code, stderr } = yield* told(...required, "10.0.0.1/8")
      expect(code).not.toBe(0)
      expect(stderr).toContain("a network such as 10.0.0.0/8 or fd00::/8, not \"10.0.0.1/8\"")
    }))
})
