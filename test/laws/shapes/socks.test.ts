/**
 * The laws of a handshake in three questions with frames of their own, as SOCKS5 has them.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Law from "../../support/laws.ts"
import { socks } from "./socks.ts"

// A third of the cases that are drawn, for the sake of time: it is clean on all of them, too.
Laws.handshake({ ...socks, it: Law.it, runs: 66 })
