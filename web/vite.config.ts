import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, loadEnv } from "vite";

// The page is served by the controller; in development, `npm run dev` asks a running one.
const controller = loadEnv("", ".", "WATTKEEPER")["WATTKEEPER_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../adapters/http/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    // The policy allows no inline images: small files stay files.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": { target: controller, changeOrigin: true } } },
});
