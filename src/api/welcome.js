var address = location.href.split(/[?#]/)[0].replace(/\/+$/, "");
document.querySelectorAll("[data-address]").forEach(function (element) { element.textContent = address; });