"use strict";

// The page of the dashboard that creates a test key, if the dashboard is served here.
const testKeys = document.querySelector('meta[name="test-keys"]')?.content;

const ui = SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: new URL("../openapi.json", document.currentScript.src).href,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  showCommonExtensions: true,
  showExtensions: true,
  validatorUrl: null,
  plugins: [
    // The page may talk to its own server only, the first of the list, so there is nothing to choose.
    () => ({ components: { ServersContainer: () => null } }),
    generateKey,
  ],
});

// generateKey is a plugin that adds a button to the dialog Authorize. The dashboard's page sends the key that it creates back here.
function generateKey() {
  if (!testKeys) return {};
  return {
    wrapComponents: {
      apiKeyAuth: (Original, { React }) => (props) =>
        React.createElement("div", null,
          React.createElement(Original, props),
          React.createElement("button", {
            type: "button",
            className: "btn generate-key",
            onClick: () => window.open(testKeys, "test-key", "width=520,height=640"),
          }, "Generate API key")),
    },
  };
}

window.addEventListener("message", ({ origin, data }) => {
  if (testKeys && origin === location.origin && typeof data?.testKey === "string") {
    ui.preauthorizeApiKey("ApiKeyAuth", data.testKey);
  }
});
